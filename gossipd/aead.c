/*
 * aead.c - AES-GCM (contract: aead.h; callers: envelope.c, pool.c)
 */
#include "aead.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

#define LIBRARY "libcrypto.so.3"

/* Name for name what <openssl/evp.h> declares. */
static struct {
	EVP_CIPHER_CTX *(*ctx_new)(void);
	const EVP_CIPHER *(*aes_128_gcm)(void);
	const EVP_CIPHER *(*aes_192_gcm)(void);
	const EVP_CIPHER *(*aes_256_gcm)(void);
	int (*encrypt_init)(
	    EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *, const unsigned char *);
	int (*encrypt_update)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int);
	int (*encrypt_final)(EVP_CIPHER_CTX *, unsigned char *, int *);
	int (*decrypt_init)(
	    EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *, const unsigned char *);
	int (*decrypt_update)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int);
	int (*decrypt_final)(EVP_CIPHER_CTX *, unsigned char *, int *);
	int (*control)(EVP_CIPHER_CTX *, int, int, void *);
	EVP_CIPHER_CTX *ctx; /* one for all: no allocation per packet */
} evp;

int
aead_load(char error[KEYRING_ERROR_MAX])
{
	const struct {
		const char *name;
		void *to;
	} symbols[] = {
	    {"EVP_CIPHER_CTX_new", &evp.ctx_new},
	    {"EVP_aes_128_gcm", &evp.aes_128_gcm},
	    {"EVP_aes_192_gcm", &evp.aes_192_gcm},
	    {"EVP_aes_256_gcm", &evp.aes_256_gcm},
	    {"EVP_EncryptInit_ex", &evp.encrypt_init},
	    {"EVP_EncryptUpdate", &evp.encrypt_update},
	    {"EVP_EncryptFinal_ex", &evp.encrypt_final},
	    {"EVP_DecryptInit_ex", &evp.decrypt_init},
	    {"EVP_DecryptUpdate", &evp.decrypt_update},
	    {"EVP_DecryptFinal_ex", &evp.decrypt_final},
	    {"EVP_CIPHER_CTX_ctrl", &evp.control},
	};
	void *library, *symbol;

	if (evp.ctx != NULL)
		return 0;
	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		snprintf(error, KEYRING_ERROR_MAX, "encryption needs %s: %.200s", LIBRARY, dlerror());
		return -1;
	}
	for (size_t i = 0; i < COUNTOF(symbols); i++) {
		symbol = dlsym(library, symbols[i].name);
		if (symbol == NULL) {
			snprintf(error, KEYRING_ERROR_MAX, "encryption needs %s: %.200s", LIBRARY, dlerror());
			return -1;
		}
		memcpy(symbols[i].to, &symbol, sizeof symbol); /* POSIX: a pointer to a function has this form */
	}
	evp.ctx = evp.ctx_new();
	if (evp.ctx == NULL)
		panic("out of memory");
	return 0;
}

static const EVP_CIPHER *
cipher_of(const struct keyring_key *key)
{
	return key->size == 16 ? evp.aes_128_gcm() : key->size == 24 ? evp.aes_192_gcm() : evp.aes_256_gcm();
}

void
aead_seal(const struct keyring_key *key, const uint8_t nonce[AEAD_NONCE_BYTES], const struct bytes aad[2],
    struct bytes plain, uint8_t *out)
{
	bool good = evp.encrypt_init(evp.ctx, cipher_of(key), NULL, key->bytes, nonce) == 1;
	int n;

	for (int i = 0; good && i < 2; i++)
		good = aad[i].size == 0 || evp.encrypt_update(evp.ctx, NULL, &n, aad[i].data, (int)aad[i].size) == 1;
	if (!good || evp.encrypt_update(evp.ctx, out, &n, plain.data, (int)plain.size) != 1 ||
	    evp.encrypt_final(evp.ctx, out + n, &n) != 1 ||
	    evp.control(evp.ctx, EVP_CTRL_GCM_GET_TAG, AEAD_TAG_BYTES, out + plain.size) != 1)
		panic("gossip: sealing failed");
}

bool
aead_open(const struct keyring_key *key, const uint8_t nonce[AEAD_NONCE_BYTES], const struct bytes aad[2],
    struct bytes sealed, uint8_t *plain)
{
	size_t size = sealed.size - AEAD_TAG_BYTES;
	uint8_t tag[AEAD_TAG_BYTES];
	int n;

	memcpy(tag, sealed.data + size, AEAD_TAG_BYTES);
	if (evp.decrypt_init(evp.ctx, cipher_of(key), NULL, key->bytes, nonce) != 1)
		return false;
	for (int i = 0; i < 2; i++)
		if (aad[i].size > 0 && evp.decrypt_update(evp.ctx, NULL, &n, aad[i].data, (int)aad[i].size) != 1)
			return false;
	return evp.decrypt_update(evp.ctx, plain, &n, sealed.data, (int)size) == 1 &&
	       evp.control(evp.ctx, EVP_CTRL_GCM_SET_TAG, AEAD_TAG_BYTES, tag) == 1 &&
	       evp.decrypt_final(evp.ctx, plain + n, &n) == 1;
}
