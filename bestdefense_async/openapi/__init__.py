"""What a host says about its API, held against our route table: reading, comparing, proposing."""
