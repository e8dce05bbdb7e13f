"""gateway-worker/wrangler.toml: every environment has what the Worker needs, and nothing of another's."""

import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "gateway-worker/wrangler.toml").read_text())
# With objects of their own, which the others' Workers do without.
MORE = {"containers"}


def bindings(place):
    return {
        "buckets": {each["binding"] for each in place["r2_buckets"]},
        "databases": {(each["binding"], each["migrations_dir"]) for each in place["d1_databases"]},
        "objects": {(each["name"], each["class_name"]) for each in place["durable_objects"]["bindings"]},
        "variables": dict(place["vars"]),
    }


class Environments(unittest.TestCase):
    def test_production_is_the_worker_that_was_always_deployed(self):
        self.assertEqual(CONFIG["env"]["production"]["name"], CONFIG["name"])

    def test_every_environment_has_what_the_worker_needs(self):
        wanted = bindings(CONFIG)
        for name, place in CONFIG["env"].items():
            with self.subTest(name):
                found = bindings(place)
                self.assertEqual(found["buckets"], wanted["buckets"])
                self.assertEqual(found["databases"], wanted["databases"])
                self.assertLessEqual(wanted["variables"].items(), found["variables"].items())
                if name in MORE:
                    self.assertLessEqual(wanted["objects"], found["objects"])
                else:
                    self.assertEqual((found["objects"], found["variables"]), (wanted["objects"], wanted["variables"]))

    def test_staging_shares_nothing_with_production(self):
        def own(place):
            return {place["name"], *(each["bucket_name"] for each in place["r2_buckets"])} | {
                each["database_name"] for each in place["d1_databases"]
            }

        environments = CONFIG["env"]
        self.assertFalse(own(environments["production"]) & own(environments["staging"]))

    def test_no_secret_stands_in_it(self):
        secrets = {"HANDLER_API_KEY", "HANDLER_WEBHOOK_SECRET", "TOKEN_KEYS", "ROOT_KEY_SHA256", "BACKEND_KEYS"}
        for place in [CONFIG, *CONFIG["env"].values()]:
            self.assertFalse(secrets & place["vars"].keys())


if __name__ == "__main__":
    unittest.main()
