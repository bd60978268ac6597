#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

/// A client that sends bytes as they are, to see what a server does with bytes that no library
/// sends. Every wait ends after ten seconds, so that a silent server fails a test instead of
/// hanging it.
class RawClient final {
public:
    explicit RawClient(std::uint16_t port, int family = AF_INET)
        : socket_(::socket(family, SOCK_STREAM, 0)) {
        const timeval patience{.tv_sec = 10, .tv_usec = 0};
        setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (family == AF_INET) {
            sockaddr_in to{};
            to.sin_family = AF_INET;
            to.sin_port = htons(port);
            to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
        } else {
            sockaddr_in6 to{};
            to.sin6_family = AF_INET6;
            to.sin6_port = htons(port);
            to.sin6_addr = in6addr_loopback;
            connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
        }
    }
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;
    ~RawClient() { close(); }

    bool connected() const { return connected_; }

    /// False once the server has closed or reset the connection.
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
        return true;
    }

    /// Everything up to and including `mark`; what came so far if the connection ended before.
    std::string read_until(std::string_view mark) {
        for (;;) {
            const std::size_t at = unread_.find(mark);
            if (at != std::string::npos) return take(at + mark.size());
            if (!receive()) return std::exchange(unread_, {});
        }
    }
    std::string read(std::size_t size) {
        while (unread_.size() < size && receive()) {
        }
        return take(std::min(size, unread_.size()));
    }
    std::string read_to_end() {
        while (receive()) {
        }
        return std::exchange(unread_, {});
    }
    /// One answer with a Content-Length: its head and its body.
    std::pair<std::string, std::string> answer() {
        std::string head = read_until("\r\n\r\n");
        const std::string mark = "Content-Length: ";
        const std::size_t at = head.find(mark);
        if (at == std::string::npos) return {std::move(head), {}};
        const std::size_t size = std::stoul(head.substr(at + mark.size()));
        return {std::move(head), read(size)};
    }
    std::pair<std::string, std::string> exchange(std::string_view request) {
        send(request);
        return answer();
    }
    /// One chunk of a chunked body; empty at its end.
    std::string chunk() {
        const std::string line = read_until("\r\n");
        if (line.empty()) return {};
        const std::size_t size = std::stoul(line, nullptr, 16);
        return read(size + 2).substr(0, size);
    }
    /// The server has closed: nothing more, and not just a pause.
    bool ended() {
        while (receive()) {
        }
        return closed_;
    }
    void stop_sending() { shutdown(socket_, SHUT_WR); }
    void close() {
        if (socket_ >= 0) ::close(socket_);
        socket_ = -1;
    }

private:
    bool receive() {
        char buffer[16384];
        const ssize_t n = recv(socket_, buffer, sizeof buffer, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) closed_ = true;
        if (n <= 0) return false;
        unread_.append(buffer, static_cast<std::size_t>(n));
        return true;
    }
    std::string take(std::size_t size) {
        std::string taken = unread_.substr(0, size);
        unread_.erase(0, size);
        return taken;
    }

    int socket_;
    bool connected_ = false;
    bool closed_ = false;
    std::string unread_;
};
