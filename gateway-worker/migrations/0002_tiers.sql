-- How much a key may upload (shared/src/tier.rs). Keys from before there were tiers keep what they
-- had: the deployment's own limit.
ALTER TABLE api_keys ADD COLUMN tier TEXT NOT NULL DEFAULT 'unlimited';
