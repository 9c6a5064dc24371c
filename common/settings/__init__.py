"""Settings of all services, one class per service; ``load.load_settings`` reads them."""
