/** Where marks stand, so that none hides another one. */

export type Spot = { left: number; top: number }

/**
 * The upper left corner of each mark, in the order given: over its day, then higher, then beside.
 *
 * `x` is the middle of its day and `lowest` the lowest place for it; both, like `size`, in pixels.
 */
export function placeMarks(marks: { x: number; lowest: number }[], size: number): Spot[] {
  const taken: Spot[] = []
  for (const { x, lowest } of marks) {
    const spot = { left: x - size / 2, top: Math.max(0, lowest) }
    for (let inTheWay = taken.find(overlaps(spot, size)); inTheWay; inTheWay = taken.find(overlaps(spot, size))) {
      spot.top = inTheWay.top - size
      if (spot.top < 0) {
        spot.top = Math.max(0, lowest)
        spot.left += size
      }
    }
    taken.push(spot)
  }
  return taken
}

function overlaps(one: Spot, size: number): (other: Spot) => boolean {
  return (other) => Math.abs(one.left - other.left) < size && Math.abs(one.top - other.top) < size
}
