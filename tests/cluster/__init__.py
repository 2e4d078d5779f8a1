"""A real Kubernetes on one machine: no docker, no registry, nothing installed, nothing left behind.

Two forms. `control_plane.ControlPlane` is etcd, the API server and the controller manager on loopback,
started in seconds and in any number side by side: what operator tests need. `node.Node` adds scheduler,
kubelet, kube-proxy and containerd inside private Linux namespaces: real pods from our real images, for the
demo and the end-to-end test.

Programs come from `binaries` (Kubernetes itself) and `toolbox` (Debian packages unpacked, not installed, in
the cache folder). `images` builds our container images. `python -m tests.cluster --help` is the door for
people and for make.
"""
