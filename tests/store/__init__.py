"""What a store does beyond the contract."""
