//! What every HTTP service shares: problem documents, authentication, rate limits, request ids.
