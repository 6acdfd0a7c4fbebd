"""What each refusal means and what to do about it, at the address that its `type` names."""
