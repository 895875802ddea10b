"""Programs that print tables; the tests run none of them."""
