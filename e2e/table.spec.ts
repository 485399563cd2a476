// The tables in the browser as it is: a GPU, or SwiftShader.
import { testTable } from './table.js';

testTable('chromium');
