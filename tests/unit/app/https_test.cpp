// Over TLS: certificates are verified, and a redirect may not leave https.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <csignal>
#include <cstdio>
#include <memory>

#include "app/download.h"
#include "base/error.h"
#include "http_server.h"
#include "temporary_folder.h"

namespace rf {
namespace {

// A TLS context with a new certificate of its own signing for 127.0.0.1, which is also written to `pem`.
SSL_CTX* new_context(const std::string& pem) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1,
                             0);
  X509_set_issuer_name(certificate, name);
  X509_EXTENSION* address = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
  X509_add_ext(certificate, address, -1);
  X509_sign(certificate, key, EVP_sha256());
  std::FILE* file = std::fopen(pem.c_str(), "w");
  PEM_write_X509(file, certificate);
  std::fclose(file);
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(context, certificate);
  SSL_CTX_use_PrivateKey(context, key);
  X509_EXTENSION_free(address);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return context;
}

class Https : public testing::Test {
 protected:
  Https() : context_(new_context(pem_), SSL_CTX_free) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to connections that the client has given up
  }
  ~Https() override { ::unsetenv("SSL_CERT_FILE"); }
  std::string error(const std::string& url) {
    try {
      download(url, target_, {});
    } catch (const Error& fault) {
      return fault.what();
    }
    return "";
  }
  test::TemporaryFolder folder_;
  const std::string pem_ = folder_ / "authority.pem", target_ = folder_ / "m.gguf";
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
};

TEST_F(Https, OnlyATrustedCertificateIsAccepted) {
  test::HttpServer server([](const std::string&) { return test::answer("200 OK", "", "model"); },
                          context_.get());
  EXPECT_NE(error(server.url("/m")).find("certificate"), std::string::npos);
  EXPECT_TRUE(server.requests().empty());
  ::setenv("SSL_CERT_FILE", pem_.c_str(), 1);
  EXPECT_EQ(error(server.url("/m")), "");
  EXPECT_EQ(test::contents(target_), "model");
}

TEST_F(Https, RedirectToHttpIsRefused) {
  test::HttpServer plain([](const std::string&) { return test::answer("200 OK", "", "forged"); });
  test::HttpServer server(
      [&](const std::string&) {
        return test::answer("302 Found", "Location: " + plain.url("/m") + "\r\n", "");
      },
      context_.get());
  ::setenv("SSL_CERT_FILE", pem_.c_str(), 1);
  EXPECT_NE(error(server.url("/m")).find("\"http\""), std::string::npos);
  EXPECT_TRUE(plain.requests().empty());
  EXPECT_FALSE(std::filesystem::exists(target_));
}

}  // namespace
}  // namespace rf
