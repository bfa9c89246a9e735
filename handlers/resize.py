#!/usr/bin/env python3
"""Make a JPEG thumbnail of a picture: upright, in its proportions, never enlarged.

data: {"src": path, "width": pixels, "dst": path; without it the thumbnail is only measured}
result: {"width": pixels, "height": pixels, "bytes": size of the JPEG}
"""

import io
import os

from PIL import Image, ImageOps, UnidentifiedImageError

from sandq.handler import Job, Unrecoverable, serve


def resize(job: Job) -> dict[str, int]:
    src, width, dst = job.data["src"], job.data["width"], job.data.get("dst")
    try:
        picture = Image.open(src)
    except (FileNotFoundError, UnidentifiedImageError) as error:
        raise Unrecoverable(f"cannot make a thumbnail of {src}: {error}") from error

    with picture:
        picture.draft("RGB", (2 * width, 2 * width))  # a JPEG is decoded no larger than needed
        thumbnail = ImageOps.exif_transpose(picture).convert("RGB")
    job.progress(0.5)
    thumbnail.thumbnail((width, thumbnail.height))
    jpeg = io.BytesIO()
    thumbnail.save(jpeg, "JPEG", quality=85)
    if dst is not None:
        with open(f"{dst}.part", "wb") as part:  # a killed attempt leaves no half picture at dst
            part.write(jpeg.getbuffer())
        os.replace(part.name, dst)
    job.progress(1.0)

    return {"width": thumbnail.width, "height": thumbnail.height, "bytes": jpeg.tell()}


serve(resize)
