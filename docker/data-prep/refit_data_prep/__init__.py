"""From raw mail to the 524 features: what the prepare and features stages are made of.

`mail`, `normalise`, `engineered`, `tfidf`, `sender` and `matrix` are pure and light to
import (numpy, polars, fast-mail-parser); the served model uses them as they are, so that
training and serving compute the same values. `prepare` and `features` are the stages.
"""

from __future__ import annotations
