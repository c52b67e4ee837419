// Typed text: folded before it is compared or parsed.
const INVISIBLE = /[\p{White_Space}\p{Default_Ignorable_Code_Point}\u2800]/gu;
const HYPHENS = '\\-\u2010-\u2015\u2043\u2212\uFE58\uFE63';
const HYPHEN = new RegExp(`[${HYPHENS}]`, 'g');
const MARKS = new RegExp(`[${HYPHENS}()[\\]{}\u3008-\u3011\u3014-\u301B\uFE59-\uFE5E]`, 'g');
const DOTS = /[.\u00B7\u02D9\u0387\u2022\u2024\u2027\u2219\u22C5\u25CF\u2E31\u3002\u30FB\uFE52\uFF0E\uFF61\uFF65]/g;
const APOSTROPHES = /[`\u00B4\u02B9\u02BB-\u02BD\u02C8\u2018-\u201B\u2032\u2035]/g;

const fold = (text) =>
  text.replace(/[\uFF01-\uFF5E]/g, (c) => String.fromCharCode(c.charCodeAt(0) - 0xfee0)).replace(INVISIBLE, '');

const foldNumber = (text) => fold(text).replace(MARKS, '');

/** The digits of a card number; `undefined` unless 15 to 19 digits remain. */
export const cardNumber = (typed) => /^\d{15,19}$/.exec(foldNumber(typed))?.[0];

/** `+86…` of a mainland mobile number; `undefined` for any other text. */
export const phoneNumber = (typed) => {
  const national = /^(?:\+86|0086|86)?(1[3-9]\d{9})$/.exec(foldNumber(typed))?.[1];
  return national && `+86${national}`;
};

export const hasCheckDigit = (digits) => {
  const doubled = (digit) => (digit > 4 ? digit * 2 - 9 : digit * 2);
  const sum = [...digits].reverse().reduce((all, digit, index) => all + (index % 2 ? doubled(+digit) : +digit), 0);
  return sum % 10 === 0;
};

/** The form in which two names are compared. */
const comparable = (name) =>
  fold(name)
    .replace(DOTS, '\u00B7')
    .normalize('NFKC')
    .toLowerCase()
    .replace(DOTS, '\u00B7')
    .replace(APOSTROPHES, "'")
    .replace(HYPHEN, '-')
    .replace(INVISIBLE, '');

export const isSameName = (one, other) => comparable(one) === comparable(other);

export const maskedName = (name) => `${[...name.trimStart()][0] ?? ''}*`;

export const maskedPhone = (e164) => `${e164.slice(3, 6)}****${e164.slice(10)}`;
