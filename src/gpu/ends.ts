// Counts what has ended: tensors that were destroyed, weights that were freed or moved. A recording that finds another count than at its
// making looks at what it uses; one that finds the same need not look.

/** Of all devices together: a count that another device has moved costs a look, and a count for each device a search at every end. */
export const ends = { count: 0 };
