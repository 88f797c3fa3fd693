"""The checks of the tree find what they look for."""

import os
import tempfile
import unittest

import check_tree


class Tree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        self.write("server/config.cc", 'DEFINE_string(listen, "127.0.0.1:7001", "help");\n')
        self.write("docs/operations.md", "| `--listen` | x |\n")
        self.write("README.md", "fine\n")
        self.write("CMakeLists.txt", "fine\n")

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def found(self):
        return list(check_tree.problems(self.root))

    def test_a_good_tree_has_no_problem(self):
        self.write("raft/node.cc", '#include "raft/node.h"\n#include <vector>\n')
        self.write("storage/log/store.h", '#include "raft/types.h"\n#include <rocksdb/db.h>\n')
        self.write("server/net/listener.h", '#include <uv.h>\n#include "resp/request_parser.h"\n')
        self.write("client/cli.cc", '#include <hiredis/hiredis.h>\n#include "client/cli.h"\n')
        self.assertEqual(self.found(), [])

    def test_a_prefetch_that_may_be_dropped_is_found(self):
        hint = "  _" + "_builtin_prefetch(entry);\n"
        self.write("storage/data/prefetch.h", hint)
        self.assertEqual(self.found(), [])
        self.write("storage/data/table.cc", hint)
        self.assertEqual(len(self.found()), 1)
        self.assertIn("storage/data/table.cc", self.found()[0])

    def test_a_program_without_the_walk_is_found(self):
        found = list(check_tree.check_walk("/bin/true"))
        self.assertEqual(len(found), 1)
        self.assertIn("can't be disassembled", found[0])

    def test_each_arrow_that_runs_the_wrong_way_is_found(self):
        wrong = [
            ("raft/node.cc", '"storage/log/log_store.h"'),
            ("raft/node.cc", '"resp/reply_writer.h"'),
            ("raft/node.cc", '"server/config.h"'),
            ("resp/parser.cc", '"raft/types.h"'),
            ("storage/log/store.cc", '"server/config.h"'),
            ("storage/log/store.cc", '"resp/reply_writer.h"'),
            ("storage/data/table.h", '"raft/types.h"'),
            ("storage/data/table.h", '"storage/log/log_store.h"'),
            ("storage/data/table.h", '"resp/reply_writer.h"'),
            ("server/command/strings.cc", '"server/replica/replica.h"'),
            ("server/command/strings.cc", '"storage/log/log_store.h"'),
            ("server/command/dump.cc", '"storage/snapshot/snapshot_store.h"'),
            ("storage/snapshot/job.cc", '"storage/log/log_store.h"'),
            ("storage/snapshot/job.cc", '"raft/node.h"'),
            ("client/cmd_import.cc", '"storage/snapshot/rdb_payload.h"'),
            ("server/command/strings.cc", "<uv.h>"),
            ("server/replica/replica.cc", '"server/net/listener.h"'),
            ("server/replica/replica.cc", "<uv.h>"),
            ("server/replica/replica.cc", "<rocksdb/db.h>"),
            ("server/net/listener.cc", "<rocksdb/db.h>"),
            ("server/net/listener.cc", '"client/client.h"'),
            ("server/net/listener.cc", '"tests/sim/world.h"'),
            ("server/net/listener.cc", "<hiredis/hiredis.h>"),
            ("client/cli.cc", '"server/config.h"'),
            ("client/cli.cc", '"resp/request_parser.h"'),
            ("raft/node.cc", "<uv.h>"),
            ("raft/node.cc", '"node.h"'),
        ]
        for path, included in wrong:
            with self.subTest(path=path, included=included):
                self.write(path, f"#pragma once\n  #  include {included}\n")
                found = self.found()
                self.assertEqual(len(found), 1, found)
                self.assertTrue(found[0].startswith(f"{path}:2: "), found)
                os.remove(os.path.join(self.root, path))

    def test_a_named_test_that_is_not_there_is_found(self):
        self.write("tests/unit/log_test.cc", "TEST(Log, IsCut) {\nTEST_F(Disk,\n       Fails) {\n")
        self.write("tests/integration/x_test.py", "class A:\n    def test_it_works(self):\n")
        self.write("docs/testing.md", "`Log.IsCut`, `Disk.Fails`, `test_it_works`, `log_test.cc`\n")
        self.assertEqual(self.found(), [])
        self.write("docs/testing.md", "`Log.Grows`, `test_it_fails`\n")
        self.assertEqual(len(self.found()), 2)

    def test_a_long_file_is_found(self):
        self.write("raft/node.cc", "\n" * check_tree.LINES_MAX)
        self.assertEqual(self.found(), [])
        self.write("raft/node.cc", "\n" * (check_tree.LINES_MAX + 1))
        self.assertEqual(len(self.found()), 1)

    def test_unfinished_work_is_found_anywhere(self):
        for path in ("raft/node.cc", "scripts/x.sh", "README.md", "docs/design.md", "tests/integration/node/a.js"):
            for word in ("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK", "Not" + " Implemented"):
                with self.subTest(path=path, word=word):
                    self.write(path, f"fine\n# {word}: later\n")
                    self.assertEqual(len(self.found()), 1)
                    self.write(path, "fine\n")

    def test_flags_and_their_rows_must_agree(self):
        self.write("server/config.cc", 'DEFINE_string(listen, "", "h");\nDEFINE_uint64(new_flag, 1, "h");\n')
        self.assertEqual(self.found(), ["docs/operations.md: no row for --new_flag"])
        self.write("server/config.cc", "int main() {}\n")
        self.assertEqual(len(self.found()), 2)

    def test_a_command_list_that_is_out_of_date_is_found(self):
        server = os.path.join(self.root, "fake-server")
        self.write("fake-server", "#!/bin/sh\nprintf '# Commands\\n'\n")
        os.chmod(server, 0o755)
        self.write("docs/commands.md", "# Commands\n")
        self.assertEqual(list(check_tree.problems(self.root, server)), [])
        self.write("docs/commands.md", "# Commands\nGET\n")
        self.assertEqual(len(list(check_tree.problems(self.root, server))), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
