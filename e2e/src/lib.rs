//! Clusters, images, end-to-end tests and load generator.
