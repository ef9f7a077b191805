"""Secret stores: HashiCorp Vault, AWS Secrets Manager, Azure Key Vault."""
