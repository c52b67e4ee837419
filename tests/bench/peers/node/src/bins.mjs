// Bank and type of a card by the prefix of its number.
import { bins, lengths } from '#data/bins.json';

/** The longest prefix for this length of number; `undefined` for an unknown one. */
export const binOf = (digits) => {
  for (const length of lengths) {
    const found = bins[`${digits.slice(0, length)}/${digits.length}`];
    if (found) return { type: found[0], bankCode: found[1] };
  }
  return undefined;
};
