"""From files to sentence pairs to ids: what DATA means, filters with reasons, the audit, the built-in corpus."""
