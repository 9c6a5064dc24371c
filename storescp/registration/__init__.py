"""From durable instances to a registered series: arrival, completion, registration, publish."""
