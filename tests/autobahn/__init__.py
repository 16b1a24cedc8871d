"""The Autobahn suite's fuzzing client against an echo on exactly our transport; see ``python -m tests.autobahn --help``."""
