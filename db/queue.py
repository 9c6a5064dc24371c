"""Names of queues and tasks, so that nobody imports a task to send it."""

SCREENING_QUEUE = "screening"
DELIVERY_QUEUE = "delivery"

SCREEN_TASK = "worker.tasks.screen"
"""One argument: the database id of the series."""
DELIVER_TASK = "worker.tasks.deliver"
"""Two arguments: the database id of the screening, the name of the destination."""
