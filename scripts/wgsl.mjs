// Prints the WGSL of a variant: npm run wgsl -- 'matmul-rows[BITS=4,…]', the id as errors, labels and `explain` print it.
import { askedVariant, load } from './variant/asked.mjs';

const { findVariant } = await load('/scripts/variant/find.ts');
process.stdout.write(askedVariant(findVariant).code);
process.exit(0);
