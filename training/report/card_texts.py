"""Paragraphs of the model card: of a model of simulated CT, and of one of a site's own CT.

A change of a text for simulated CT needs a new card of the shipped model.
"""

INTENDED = """\
## What it is for

To show the whole path of osteoscreen, from DICOM to structured report, and to be the starting
point for sites that train on their own DXA-labelled CT with the same command.

## What it is not for

**Not for clinical use.** It has never seen a patient. Everything it knows of bone comes from a
simulator whose relation of T-score to attenuation was taken from published group means and
scatter. Its figures below say how well it reads simulated pictures; they say nothing of real
ones. No grade of it may influence the care of anybody.

## Input

Crops of 250 × 250 px at 500/512 mm around one proximal femur, window −500 to 1500 HU scaled to
0–255 (Ha 2024, Eq. 1–4), and the distance of each pixel from the femur that was found. Left
hips are mirrored. The worker gives it three parallel cuts through head and neck, 4 mm apart,
and takes the mean of its outputs. It was trained on one crop of each hip, and so measured on
the held-out hips.
"""

INTENDED_OWN = """\
## What it is for

Research on opportunistic screening: it estimates the WHO category of femoral DXA from CT. It
was trained and measured on the patients named below and on no others.

## What it is not for

**Not for diagnosis.** Scanners, protocols and patients of another site may differ from those it
was trained on; its figures below hold for patients like those of its test set. Every use at
another place needs an evaluation there.

## Input

Crops of 250 × 250 px at 500/512 mm around one proximal femur, window −500 to 1500 HU scaled to
0–255 (Ha 2024, Eq. 1–4), and the distance of each pixel from the femur that was found. Left
hips are mirrored. The worker gives it three parallel cuts through head and neck, 4 mm apart,
and takes the mean of its outputs. It was trained on one crop of each hip, and so measured on
the held-out hips.
"""

LIMITS_OWN = """\
## Limits

- Only hips that passed the checks of the worker were used; metal and incomplete hips are
  refused earlier in the path.
- The grades are as frequent as in its training data, which were patients with a DXA. Elsewhere
  they are not, and probabilities with them.
- HU are not calibrated: another scanner, tube voltage or contrast phase shifts them.
- The check for strange input is a distance in the network's features. It stops most pictures
  that are no hip and cannot be trusted to notice unusual bone.
"""

LIMITS = """\
## Limits

- Anatomy, texture, contrast phase and noise are simulated; arthritis is there in a simple form,
  fractures, metastases, bone islands, necrosis and transplants are not.
- Adults lying on their back, arms mostly up; metal is refused earlier in the path.
- The grades are about as frequent in its training data as in the paper's hospital cohort, and
  age follows the grade as there. Elsewhere both are different, and probabilities with them.
- 80 to 140 kVp are simulated with a published change of attenuation, but the model is not told
  the tube voltage.
- The check for strange input is a distance in the network's features. It stops most pictures
  that are no hip; it does not reliably notice a hip upside down or half out of the picture, and
  cannot be trusted to notice a hip whose bone is unlike the simulator's.
"""
