// Package images checks the images that make build-images has built: what is
// in them, how large they are, who they run as, and that they start on a
// read-only root file system, without a network, as a pod does. ENGINE names
// docker or podman, REGISTRY and IMAGE_TAG the images, as for the build. It
// holds tests only, and they fail without an engine or an image.
package images
