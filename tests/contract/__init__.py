"""What every store must do, run over each kind: the contract of ahd.core.interfaces."""
