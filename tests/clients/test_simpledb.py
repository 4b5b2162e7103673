"""Plays simpledb.py, a client with nothing but its description and the standard library, against all its doors."""
import subprocess
import sys
import unittest

from server import Server


class TestAlone(unittest.TestCase):
    def test_all_of_it_holds(self):
        with Server() as server:
            host, port = server.address["simpledb"]
            command = [sys.executable, "simpledb.py", host, str(port), str(server.address["resp"][1])]
            played = subprocess.run(command, capture_output=True, text=True, timeout=120)
            self.assertEqual(played.returncode, 0, played.stdout + played.stderr)


if __name__ == "__main__":
    unittest.main()
