/*
 * SentencePiece's BPE joins, of all neighbours in a text, the two whose joint piece has the highest score. As merges in an order
 * that is: every way to cut a piece into two pieces, those of the highest score first; as Transformers converts such models.
 */

interface Cut {
  readonly left: string;
  readonly right: string;
  readonly score: number;
  /** Code points of either side. */
  readonly lengths: readonly [number, number];
}

/** `pieces` by id; those without a score join nothing and are not joined. */
export function mergesOfScores(
  pieces: ReadonlyMap<string, { id: number; score: number }>,
): [string, string][] {
  const cuts: Cut[] = [];
  for (const [piece, { score }] of pieces) {
    const ofPiece = cutsOf(piece, score, pieces);
    cuts.push(...ofPiece.toSorted((a, b) => idOf(a.left) - idOf(b.left) || idOf(a.right) - idOf(b.right)));
  }
  function idOf(piece: string): number {
    return pieces.get(piece)?.id ?? 0;
  }
  return cuts
    .toSorted((a, b) => b.score - a.score || b.lengths[0] - a.lengths[0] || b.lengths[1] - a.lengths[1])
    .map(({ left, right }) => [left, right]);
}

function cutsOf(piece: string, score: number, pieces: ReadonlyMap<string, unknown>): Cut[] {
  const characters = Array.from(piece);
  const cuts: Cut[] = [];
  for (let i = 1; i < characters.length; i++) {
    const left = characters.slice(0, i).join('');
    const right = characters.slice(i).join('');
    if (pieces.has(left) && pieces.has(right))
      cuts.push({ left, right, score, lengths: [i, characters.length - i] });
  }
  return cuts;
}
