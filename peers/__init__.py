"""How we talk to other machines as a requestor: addresses, associations, web sessions."""
