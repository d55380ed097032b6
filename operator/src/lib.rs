//! Kubernetes operator that reconciles SentinelChat resources.
