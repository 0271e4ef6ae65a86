/** Who asks: the name and groups that permission checks see. */
export interface Principal {
  readonly user: string;
  readonly groups: readonly string[];
}
