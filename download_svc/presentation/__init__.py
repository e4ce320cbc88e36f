"""The Download Service on its wires: gRPC servicers and event consumers."""
