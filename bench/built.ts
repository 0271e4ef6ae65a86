/**
 * A module of the built program, as it runs in production: the types are those of its source. What runs in this process
 * through tsx has other code, with a call for each named closure.
 */
export async function built<T>(path: string): Promise<T> {
  return (await import(new URL(`../dist/${path}.js`, import.meta.url).href)) as T;
}
