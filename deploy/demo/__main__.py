"""``python -m deploy.demo`` (``make demo``)."""

from deploy.demo.run import main

main()
