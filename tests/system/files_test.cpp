#include "system/files.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "support/real_world.hpp"
#include "support/temporary_directory.hpp"

using namespace sallyport;

namespace {

struct Disk {
    TemporaryDirectory at;
    support::RealWorld world;
    system::DiskFiles files{world.loop};
    std::string path = at.path() + "/journal";

    static constexpr std::size_t all = 1UL << 20;
    std::string text() { return world.finish(files.read_end(path, all)).value().bytes; }
};

Task<void> append_and_count(Files& files, std::string path, std::string bytes, int& done) {
    const Result<void> appended = co_await files.append(std::move(path), std::move(bytes));
    if (appended) ++done;
}

Task<void> wait_for(Loop& loop, int& done, int count) {
    while (done < count)
        co_await loop.sleep_until(loop.steady_now() + std::chrono::milliseconds(1));
}

}  // namespace

TEST_CASE("of a long file the end alone can be read, with the size of the whole") {
    Disk disk;
    CHECK(disk.world.finish(disk.files.append(disk.path, std::string(5000, 'a') + "end\n")));

    const auto end = disk.world.finish(disk.files.read_end(disk.path, 6));

    CHECK(end.value().bytes == "aaend\n");
    CHECK(end.value().file_size == 5004);
}

TEST_CASE("what was appended is read back, and only its owner may read the file") {
    Disk disk;

    CHECK(disk.world.finish(disk.files.append(disk.path, "one\n")));
    CHECK(disk.world.finish(disk.files.append(disk.path, "two\n")));

    CHECK(disk.text() == "one\ntwo\n");
    struct stat facts {};
    REQUIRE(stat(disk.path.c_str(), &facts) == 0);
    CHECK((facts.st_mode & 0777U) == 0600);
}

TEST_CASE("appends that wait together are all written, in the order of the calls") {
    Disk disk;
    int done = 0;
    std::string expected;
    for (int i = 0; i < 500; ++i) {
        const std::string line = std::to_string(i) + "\n";
        expected += line;
        disk.world.scope.start(append_and_count(disk.files, disk.path, line, done));
    }

    disk.world.finish(wait_for(disk.world.loop, done, 500));

    CHECK(disk.text() == expected);
}

TEST_CASE("a file is replaced as a whole, and cut only to less than it has") {
    Disk disk;

    CHECK(disk.world.finish(disk.files.replace(disk.path, "first")));
    CHECK(disk.world.finish(disk.files.replace(disk.path, "second")));
    CHECK(disk.text() == "second");
    CHECK(disk.world.finish(disk.files.truncate(disk.path, 100)));
    CHECK(disk.text() == "second");
    CHECK(disk.world.finish(disk.files.truncate(disk.path, 3)));
    CHECK(disk.text() == "sec");
    CHECK_FALSE(std::filesystem::exists(disk.path + ".new"));
}

TEST_CASE("what was handed over is written, also when nobody waits for it any more") {
    const TemporaryDirectory at;
    const std::string path = at.path() + "/journal";
    {
        support::RealWorld world;
        system::DiskFiles files(world.loop);
        int done = 0;
        {
            Scope doomed(world.loop, [](std::exception_ptr) {});
            doomed.start(append_and_count(files, path, "kept", done));
            world.loop.run_ready();
        }
    }
    Disk disk;
    CHECK(disk.world.finish(disk.files.read_end(path, Disk::all)).value().bytes == "kept");
}

TEST_CASE("each failure has a kind that names the reaction, and says what was attempted on what") {
    Disk disk;
    const auto kind = [](const auto& result) {
        REQUIRE_FALSE(result.has_value());
        return result.error().kind;
    };
    const auto missing = disk.world.finish(disk.files.read_end(disk.path, Disk::all));
    CHECK(kind(missing) == ErrorKind::not_found);
    CHECK(missing.error().message == "read " + disk.path + ": no such file or directory");
    CHECK(kind(disk.world.finish(disk.files.append(disk.at.path() + "/no/where", "x"))) ==
          ErrorKind::not_found);
    CHECK(kind(disk.world.finish(disk.files.read_end(disk.at.path(), Disk::all))) ==
          ErrorKind::unavailable);

    // The device that is always full.
    const auto full = disk.world.finish(disk.files.append("/dev/full", "x"));
    CHECK(kind(full) == ErrorKind::unavailable);
    CHECK(full.error().reason == "DiskFull");
}
