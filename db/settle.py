"""When is a screened series delivered?"""

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from db.models import Delivery, Screening, Series
from db.states import DeliveryState, RunOutcome, SeriesState
from db.transition import By, move_series


def settle_series(session: Session, series: Series, screening_id: int, by: By) -> None:
    """Move a screened series to delivered when its newest screening owes nothing more.

    The caller holds a lock on the row of the series, taken after its own delivery was updated.
    """
    owed = session.scalar(
        select(
            or_(
                exists().where(
                    Delivery.screening_id == screening_id,
                    Delivery.state.in_((DeliveryState.DUE, DeliveryState.REFUSED)),
                ),
                exists().where(
                    Screening.series_id == series.id,
                    Screening.outcome == RunOutcome.SCREENED,
                    Screening.id > screening_id,
                ),
            )
        )
    )
    if series.state is SeriesState.SCREENED and not owed:
        move_to_delivered(session, series.id, by)


def move_to_delivered(session: Session, series_id: int, by: By) -> None:
    """Nothing is owed to anybody."""
    move_series(session, series_id, SeriesState.SCREENED, SeriesState.DELIVERED, by)
