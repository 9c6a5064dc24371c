"""Demo stack: all services on embedded servers, with a small receiving PACS."""
