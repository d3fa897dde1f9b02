"""Draws pictures as somebody may bring them: shapes.py FOLDER.

Five classes of unlike size, a subfolder each; coloured shapes on a coloured ground, of several sizes and kinds of file,
some lying on their side as a camera leaves them.
"""

import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

COUNTS = {"circle": 90, "square": 60, "triangle": 50, "ring": 30, "cross": 20}
KINDS = ["jpg", "png", "webp", "bmp", "gif", "tiff"]
SIDEWAYS = 6  # The camera was held upright: EXIF's number for a quarter turn.


def draw(shape, choose):
    width, height = choose.choice([(160, 120), (120, 160), (96, 96), (240, 180)])
    ground, colour = ([choose.randrange(first, first + 90) for _ in range(3)] for first in (0, 160))
    picture = Image.new("RGB", (width, height), tuple(ground))
    pen, fill = ImageDraw.Draw(picture), tuple(colour)
    half = choose.randrange(20, 38)
    x, y = (middle + choose.randrange(-10, 11) for middle in (width // 2, height // 2))
    box = [x - half, y - half, x + half, y + half]
    match shape:
        case "circle":
            pen.ellipse(box, fill=fill)
        case "square":
            pen.rectangle(box, fill=fill)
        case "triangle":
            pen.polygon([(x, y - half), (x + half, y + half), (x - half, y + half)], fill=fill)
        case "ring":
            pen.ellipse(box, outline=fill, width=9)
        case "cross":
            pen.line([x - half, y, x + half, y], fill=fill, width=9)
            pen.line([x, y - half, x, y + half], fill=fill, width=9)
    return picture


def main(folder):
    choose = random.Random(5)
    for shape, count in COUNTS.items():
        (folder / shape).mkdir(parents=True)
        for number in range(count):
            kind = KINDS[number % len(KINDS)]
            picture, path = draw(shape, choose), folder / shape / f"{number:03}.{kind}"
            if kind == "jpg":
                exif = Image.Exif()
                exif[0x0112] = SIDEWAYS
                picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
            else:
                picture.save(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
