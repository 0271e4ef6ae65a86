import { SluiceError } from '../../model/errors.ts';

/** Translates between the words that the model uses and the numbers of a protobuf enum. */
export class WordTable<W extends string, N extends number> {
  readonly #field: string;
  readonly #numbers: Readonly<Record<W, N>>;
  readonly #words = new Map<number, W>();

  /** @param field Name of the field for errors. @param numbers Every word with its number. */
  constructor(field: string, numbers: Readonly<Record<W, N>>) {
    this.#field = field;
    this.#numbers = numbers;
    for (const word of Object.keys(numbers) as W[]) this.#words.set(numbers[word], word);
  }

  number(word: W): N {
    const number = this.#numbers[word];
    if (number === undefined) throw this.#unknown(word);
    return number;
  }

  /** @throws SluiceError INVALID_ARGUMENT when the field is missing or newer than this program. */
  word(number: number): W {
    const word = this.#words.get(number);
    if (word === undefined) throw this.#unknown(number);
    return word;
  }

  #unknown(got: string | number): SluiceError {
    const wanted = [...this.#words.values()].join(', ');
    return new SluiceError('INVALID_ARGUMENT', `${this.#field} must be one of ${wanted}, got ${got}`);
  }
}
