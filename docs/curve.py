# SPDX-License-Identifier: Apache-2.0
# Draws docs/curve.svg: keys on a Z-curve over a 16 x 16 grid, one query, and the window of past keys it attends.
# Usage: python3 docs/curve.py > docs/curve.svg
import random

CELLS, SIZE, MARGIN = 16, 26, 20
KEYS, NEIGHBOURS = 110, 8


def code(x, y):
    """Bits of y and x interleaved, y first: the curve draws Zs."""
    result = 0
    for bit in range(3, -1, -1):
        result = result << 2 | (y >> bit & 1) << 1 | (x >> bit & 1)
    return result


def place(cell):
    return MARGIN + SIZE * (cell[0] + 0.5), MARGIN + SIZE * (cell[1] + 0.5)


rng = random.Random(7)
cells = [(x, y) for x in range(CELLS) for y in range(CELLS)]
cells.sort(key=lambda cell: code(*cell))
keys = rng.sample(cells, KEYS)            # position in time is the index
query, now = (10, 5), 70                   # the query's cell and time
order = sorted(range(KEYS), key=lambda t: code(*keys[t]))
past = [t for t in order if t < now]
rank = sum(code(*keys[t]) <= code(*query) for t in past)
window = past[max(0, rank - NEIGHBOURS // 2):][:NEIGHBOURS]

side = CELLS * SIZE + 2 * MARGIN
print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side + 70}" font-family="sans-serif" font-size="13">')
print(f'<rect width="{side}" height="{side + 70}" fill="#fff"/>')
points = ' '.join('{:g},{:g}'.format(*place(cell)) for cell in cells)
print(f'<polyline points="{points}" fill="none" stroke="#c9d3df" stroke-width="1.5"/>')
first, last = code(*keys[window[0]]), code(*keys[window[-1]])
run = ' '.join('{:g},{:g}'.format(*place(cell)) for cell in cells if first <= code(*cell) <= last)
print(f'<polyline points="{run}" fill="none" stroke="#f0a35e" stroke-width="4" stroke-linejoin="round" opacity="0.6"/>')
for t, cell in enumerate(keys):
    x, y = place(cell)
    fill, stroke = ('#d9480f', '#d9480f') if t in window else ('#1c3f6e', '#1c3f6e') if t < now else ('#fff', '#9aa7b6')
    print(f'<circle cx="{x:g}" cy="{y:g}" r="5" fill="{fill}" stroke="{stroke}" stroke-width="1.5"/>')
x, y = place(query)
print(f'<path d="M{x - 9:g} {y:g}H{x + 9:g}M{x:g} {y - 9:g}V{y + 9:g}" stroke="#087f5b" stroke-width="4"/>')
legend = [('#1c3f6e', 'past key'), ('#fff', 'future key, never seen'), ('#d9480f', f'the {NEIGHBOURS} past keys attended'), ('#087f5b', 'query')]
for n, (colour, text) in enumerate(legend):
    x, y = MARGIN + 10 + 210 * (n % 2), side + 10 + 26 * (n // 2)
    print(f'<circle cx="{x}" cy="{y}" r="5" fill="{colour}" stroke="#9aa7b6"/><text x="{x + 14}" y="{y + 5}">{text}</text>')
print('</svg>')
