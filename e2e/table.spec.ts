// The tables in the installed browser: on a GPU, or on SwiftShader.
import { testTable } from './table.js';

testTable('chromium');
