"""Limits of a series and of decoding, all checked before memory is spent.

Those of one data set are in ``common.dicom.limits``. A valid CT lies far below each of them; a
few kilobytes that claim more would cost gigabytes or minutes.
"""

MAX_SIDE_PIXELS = 4096
"""Rows or Columns. The largest matrix of a CT scanner is 2048; reformats of long ranges have
more rows."""

MAX_SLICES = 4096
"""Images, or frames of all objects, of one series: 2 m of body at 0.5 mm are 4000."""

MAX_KEPT_VOXELS = 2**28
"""Voxels of the volume in memory, after the slabs of an axial series: 512 MiB. A coronal series
of 500 slices of 512² has half of it."""

MAX_REFORMATTED_VOXELS = 3 * 2**27
"""Voxels of a volume and of the one that is interpolated from it, together: both are in memory
for a moment. An axial series of 2,000 slices of 512² has 313 million at most."""

MAX_VOXELS_AT_ONCE = 2**28
"""Voxels of the volumes of all threads of a process. A routine series has 10 to 80 million."""

MAX_PIXELS_DECODED_AT_ONCE = 2**23
"""Pixels of the frames that the threads of one series decode at the same time. A decoder needs
about 25 bytes a pixel: 210 MB."""

MAX_SERIES_HEADER_BYTES = 256 * 2**20
"""All headers of a series are in memory, without their long private elements. Those of
simulated and public CT have 2–300 KiB."""

MAX_SERIES_ELEMENTS = 1_500_000
"""pydicom parses 50,000–100,000 elements a second, and needs 350 bytes for each."""

MAX_FRAGMENTS = 1024
"""Fragments of a compressed frame, on average."""

MAX_TILES = 1024
"""Tiles of a JPEG 2000 codestream: 64 × 64 pixels each in an image of 2048²."""

MAX_PRECINCTS = 2**16
"""Precincts of a JPEG 2000 codestream. 2048² pixels in 1.4 million of 2 × 2 take 2.3 GB, in
22,000 of 16 × 16 less than 0.1 GB."""

MAX_RESCALE = 1_000_000
"""Absolute value of slope and intercept; greater ones exceed float32 with 32 stored bits."""

MAX_EXPANSION = 4
"""Encoded bytes of a frame as a multiple of its stored bytes; lossless codecs need less than
1.5 for noise."""

ENCODED_SLACK_BYTES = 64 * 1024
