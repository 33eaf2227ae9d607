#!/usr/bin/env python3
"""Joins the right end of the stencilled 4 to its stem, in each of the fonts named.

Small, the piece beside the stem looks like a full stop: "64" reads as "64.". Needs fonttools, and brotli for WOFF 2.
"""
import sys

from fontTools.ttLib import TTFont


def join_four(path):
    font = TTFont(path, recalcTimestamp=False)
    glyph = font["glyf"][font.getBestCmap()[ord("4")]]
    first = [0] + [end + 1 for end in glyph.endPtsOfContours[:-1]]
    contours = [range(start, end + 1) for start, end in zip(first, glyph.endPtsOfContours)]
    by_place = sorted(contours, key=lambda points: min(glyph.coordinates[point][0] for point in points))
    if len(by_place) != 3:
        sys.exit(f"{path}: the 4 has {len(by_place)} parts, not a bowl, a stem and an end")
    _, stem, end = by_place
    right_of_stem = max(glyph.coordinates[point][0] for point in stem)
    left_of_end = min(glyph.coordinates[point][0] for point in end)
    for point in end:
        x, y = glyph.coordinates[point]
        if x == left_of_end:
            glyph.coordinates[point] = (right_of_stem, y)
    font.save(path)


for name in sys.argv[1:]:
    join_four(name)
