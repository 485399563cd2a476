// The tables in the Chromium that build.sh makes.
import { testTable } from '../table.js';

testTable('chromium-f16');
