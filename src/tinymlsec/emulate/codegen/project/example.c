/* Runs the model once and prints what comes out. Without arguments every input is zero; with one file for each input
   (raw bytes as the model takes them) it is read from there. */
#include <stdio.h>
#include <stdlib.h>

#include "tms_model.h"

static int fill(uint32_t number, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    const size_t got = fread(tms_input[number], 1, tms_input_bytes[number], file);
    fclose(file);
    return got == tms_input_bytes[number];
}

int main(int count, char **words) {
    tms_init();
    for (uint32_t k = 0; k < TMS_INPUTS; ++k) {
        for (uint32_t i = 0; i < tms_input_bytes[k]; ++i) ((uint8_t *)tms_input[k])[i] = 0;
        if ((int)k + 1 < count && !fill(k, words[k + 1])) {
            fprintf(stderr, "cannot read %lu bytes from %s\n", (unsigned long)tms_input_bytes[k], words[k + 1]);
            return EXIT_FAILURE;
        }
    }
    if (tms_infer(NULL, NULL)) return EXIT_FAILURE;
    for (uint32_t k = 0; k < TMS_OUTPUTS; ++k) {
        printf("output %lu, bytes in hexadecimal:", (unsigned long)k);
        for (uint32_t i = 0; i < tms_output_bytes[k]; ++i) printf(" %02x", ((const uint8_t *)tms_output[k])[i]);
        printf("\n");
    }
    return EXIT_SUCCESS;
}
