#pragma once

namespace sallyport {

/// Lets a std::unique_ptr own what a C library made:
///     using Key = std::unique_ptr<EVP_PKEY, Releaser<EVP_PKEY_free>>;
template <auto release>
struct Releaser {
    template <class T>
    void operator()(T* pointer) const {
        release(pointer);
    }
};

}  // namespace sallyport
