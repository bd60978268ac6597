#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

/// A server that does to each connection what a script says, for what no proper server would do.
class RawServer final {
public:
    class Connection final {
    public:
        explicit Connection(int socket) : socket_(socket) {}
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;
        void close() { shutdown(socket_, SHUT_RDWR); }

        void send(std::string_view bytes) {
            while (!bytes.empty()) {
                const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
                if (n <= 0) return;
                bytes.remove_prefix(static_cast<std::size_t>(n));
            }
        }
        /// Empty once the client has closed.
        std::string read_until(std::string_view mark) {
            for (;;) {
                const std::size_t at = unread_.find(mark);
                if (at != std::string::npos) {
                    std::string taken = unread_.substr(0, at + mark.size());
                    unread_.erase(0, taken.size());
                    return taken;
                }
                char buffer[4096];
                const ssize_t n = recv(socket_, buffer, sizeof buffer, 0);
                if (n <= 0) return {};
                unread_.append(buffer, static_cast<std::size_t>(n));
            }
        }
        void wait_for_close() {
            char buffer[4096];
            while (recv(socket_, buffer, sizeof buffer, 0) > 0) {
            }
        }

    private:
        int socket_;
        std::string unread_;
    };
    using Script = std::function<void(Connection&)>;

    explicit RawServer(Script script)
        : script_(std::move(script)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        bind(listener_, reinterpret_cast<sockaddr*>(&at), size);
        listen(listener_, 128);
        getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
        port_ = ntohs(at.sin_port);
        acceptor_ = std::thread([this] { accept_all(); });
    }
    RawServer(const RawServer&) = delete;
    RawServer& operator=(const RawServer&) = delete;
    ~RawServer() {
        shutdown(listener_, SHUT_RDWR);
        acceptor_.join();
        ::close(listener_);
        {
            const std::lock_guard lock(mutex_);
            for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
        }
        for (std::thread& thread : threads_) thread.join();
        for (const int socket : sockets_) ::close(socket);
    }
    std::string origin() const { return "http://127.0.0.1:" + std::to_string(port_); }
    std::uint16_t port() const { return port_; }

private:
    void accept_all() {
        for (;;) {
            const int socket = accept(listener_, nullptr, nullptr);
            if (socket < 0) return;
            const std::lock_guard lock(mutex_);
            sockets_.push_back(socket);
            threads_.emplace_back([this, socket] {
                Connection connection(socket);
                script_(connection);
                connection.close();
            });
        }
    }

    const Script script_;
    int listener_;
    std::uint16_t port_ = 0;
    std::thread acceptor_;
    std::mutex mutex_;
    std::vector<int> sockets_;
    std::vector<std::thread> threads_;
};
